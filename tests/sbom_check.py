"""Whether bills of materials are as the schema of CycloneDX says that they name, in its strict reading.

    python3 tests/sbom_check.py FILE...
"""
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
wrong = 0
for path in sys.argv[1:]:
    error = validator.validate_str(Path(path).read_text(encoding="utf-8"))
    if error:
        print(f"{path}: {error.data.json_path}: {error.data.message}", file=sys.stderr)
        wrong = 1
sys.exit(wrong)
