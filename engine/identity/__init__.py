"""Who is who: from the identifiers of an item to the user point it counts for (decisions 1 to 3). Pure."""
