"""Whether a compose file is as the Compose Specification says: its models take it, and know every key in it.

    python3 tests/compose_check.py FILE
"""
import sys

import yaml
from compose_spec import ComposeSpecification


def unknown(written, known, path=""):
    """Keys that were written and that the models let go."""
    if isinstance(written, dict) and isinstance(known, dict):
        for key, value in written.items():
            here = f"{path}.{key}"
            if str(key) not in known:
                yield here
            else:
                yield from unknown(value, known[str(key)], here)
    elif isinstance(written, list) and isinstance(known, list):
        for value, of in zip(written, known):
            yield from unknown(value, of, path)


document = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
models = ComposeSpecification.model_validate(document)
lost = list(unknown(document, models.model_dump(mode="json", by_alias=True, exclude_unset=True)))
for key in lost:
    print(f"no key of the Compose Specification: {key.lstrip('.')}", file=sys.stderr)
sys.exit(1 if lost else 0)
