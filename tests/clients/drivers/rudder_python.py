"""rudder-sdk-python."""

import json
import sys

from rudderstack.analytics.client import Client

from tests.clients.drivers.calls import make_calls

url, key, user = sys.argv[1:]
errors: list[tuple[str, int]] = []
client = Client(key, host=url, max_retries=4, on_error=lambda error, items: errors.append((str(error), len(items))))
make_calls(client, user)
client.flush()
client.join()
print(json.dumps(errors))
