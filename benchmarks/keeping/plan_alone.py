"""Plans a cleanup in a process of its own, and prints what that found and took as JSON.

python -m benchmarks.keeping.plan_alone WORK SECONDS_SINCE_1970
"""

import json
import resource
import sys

from components.cleanup.cleanup import plan
from components.cleanup.config import Retention

if __name__ == "__main__":
    planned = plan(sys.argv[1], {"flights": Retention()}, float(sys.argv[2]))["flights"]
    found = {
        "deletions": len(planned.deletions),
        "versions": len(planned.versions),
        "bytes": sum(deletion.bytes for deletion in planned.deletions),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    print(json.dumps(found))
