#!/usr/bin/env python3
"""Writes the bill of materials of a shipped program, CycloneDX 1.6 in JSON, to standard output.

    deploy/sbom.py PROGRAM --target TRIPLE [--version A.B.C] [--file FILE]

PROGRAM is tidemark-agent, tidemark-controller or tidemark; FILE is the built one, whose digest goes in. Listed is what is
linked: Cargo's own resolution for that target, with the features that the packages are built with, without what only
builds or tests need. The same sources and FILE make the same bytes; the time is SOURCE_DATE_EPOCH, and left out without it.

Why no ready-made tool: cargo-cyclonedx resolves features for the whole workspace at once, so that it lists what only the
tests turn on, knows nothing of what lies in the controller beside crates, and takes minutes to build.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

WORKSPACE = Path(__file__).resolve().parent.parent

# The package of each program, and the packages that are built in the same go: they share features.
PROGRAMS = {
    "tidemark-agent": ("tidemark-agent", ["tidemark-agent"]),
    "tidemark-controller": ("tidemark-controller", ["tidemark-controller", "tidemark-cli"]),
    "tidemark": ("tidemark-cli", ["tidemark-controller", "tidemark-cli"]),
}

# C that crates bring along: its header with the version, name, licence, and whom the CPE calls its vendor and product.
NATIVE = {
    "libsqlite3-sys": ("sqlite3/sqlite3.h", "sqlite", "blessing", "sqlite:sqlite"),
    "zstd-sys": ("zstd/lib/zstd.h", "zstd", "BSD-3-Clause", "facebook:zstandard"),
}
# Crates that link C of their own, which has no other version than theirs.
OWN_NATIVE = {"ring"}


def fail(text):
    sys.exit(f"error: {text}")


def cargo(*arguments):
    ran = subprocess.run(["cargo", *arguments], cwd=WORKSPACE, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode:
        fail(f"cargo {arguments[0]} failed, as said above")
    return ran.stdout


def linked(program, target):
    """The (name, version) of the program's package, and of every crate that is linked those that it uses."""
    package, together = PROGRAMS[program]
    chosen = [word for name in together for word in ("--package", name)]
    lines = cargo(
        *["tree", "--locked", *chosen, "--target", target, "--edges", "normal,no-proc-macro"],
        *["--prefix", "depth", "--format", "\t{p}"],
    ).splitlines()
    uses, above, roots = {}, [], {}
    for line in filter(None, lines):
        depth, crate = line.split("\t", 1)
        name, version = crate.split(" ")[:2]
        crate = (name, version.removeprefix("v"))
        del above[int(depth) :]
        if above:
            uses[above[-1]].add(crate)
        else:
            roots[name] = crate
        # A crate's own are listed only where it stands first.
        uses.setdefault(crate, set())
        above.append(crate)
    reached, todo = {}, [roots[package]]
    while todo:
        crate = todo.pop()
        if crate not in reached:
            reached[crate] = sorted(uses[crate])
            todo.extend(reached[crate])
    return roots[package], reached


def purl(kind, name, version):
    return f"pkg:{kind}/{name}@{quote(version, safe='')}"


def component(kind, name, version, licence, sha256=None, **more):
    reference = purl(kind, name, version)
    made = {"type": "library", "bom-ref": reference, "name": name, "version": version}
    if sha256:
        made["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    # What Cargo took for "or" before SPDX's expressions.
    made["licenses"] = [{"expression": re.sub(" ?/ ?", " OR ", licence)}]
    return {**made, "purl": reference, **more}


def native(package):
    """The C library that a crate brings along."""
    header, name, licence, cpe = NATIVE[package["name"]]
    text = (Path(package["manifest_path"]).parent / header).read_text()
    version = re.search(r'^#define SQLITE_VERSION +"([\d.]+)"', text, re.MULTILINE)
    version = version[1] if version else ".".join(re.findall(r"^#define ZSTD_VERSION_(?:MAJOR|MINOR|RELEASE) +(\d+)", text, re.MULTILINE))
    if not version:
        fail(f"{header} of {package['name']} does not say its version")
    return component("generic", name, version, licence, cpe=f"cpe:2.3:a:{cpe}:{version}:*:*:*:*:*:*:*")


def crates(reached, target):
    """Components of crates and of what they bring along, and who uses what."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    lock = tomllib.loads((WORKSPACE / "Cargo.lock").read_text())
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    # Tidemark's own are not on crates.io, where others may take their names.
    own = {crate: packages[crate]["source"] is None for crate in reached}
    references = {crate: purl("generic" if own[crate] else "cargo", *crate) for crate in reached}
    components, uses = [], {}
    for crate, used in reached.items():
        package = packages[crate]
        uses[references[crate]] = [references[one] for one in used]
        kind = "generic" if own[crate] else "cargo"
        components.append(component(kind, *crate, package["license"], checksums[crate]))
        if crate[0] in NATIVE:
            brought = native(package)
            components.append(brought)
            uses[references[crate]].append(brought["bom-ref"])
        elif package["links"] and crate[0] not in OWN_NATIVE:
            fail(f"{crate[0]} links native code: say in NATIVE or OWN_NATIVE of {__file__} what it brings along")
    return components, uses


def assets():
    """What the controller's pages bring along from others, as the table beside it says."""
    folder = WORKSPACE / "controller/assets"
    table = (folder / "README.md").read_text()
    digests = dict(reversed(line) for line in re.findall(r"^([0-9a-f]{64})  (\S+)$", table, re.MULTILINE))
    found = re.search(r"\| npm `([^@`]+)@([^`]+)`, ([\w.-]+),", table)
    files = []
    for name, said in sorted(digests.items()):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if digest != said:
            fail(f"{folder / name} is not what README.md beside it says: {digest}")
        files.append({"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]})
    return [component("npm", *found.groups(), components=files)]


def standard_library():
    released = cargo("--version").split(" ")[1]
    return component("generic", "rust-std", released, "MIT OR Apache-2.0", description="Rust's standard library")


def bill(program, target, version, file):
    root, reached = linked(program, target)
    components, uses = crates(reached, target)
    brought = [standard_library(), *(assets() if program == "tidemark-controller" else [])]
    version = version or root[1]
    package = components.pop(0)
    shipped = component("generic", program, version, package["licenses"][0]["expression"])
    shipped |= {"type": "application", "properties": [{"name": "tidemark:target", "value": target}]}
    if file:
        shipped["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(Path(file).read_bytes()).hexdigest()}]
    of_package = uses.pop(package["bom-ref"])
    uses[shipped["bom-ref"]] = of_package + [one["bom-ref"] for one in brought]
    components = sorted([*components, *brought], key=lambda one: one["bom-ref"])
    for one in components:
        uses.setdefault(one["bom-ref"], [])
    metadata = {"component": shipped}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        metadata = {"timestamp": datetime.fromtimestamp(int(epoch), timezone.utc).isoformat(), **metadata}
    made = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(used)} for ref, used in sorted(uses.items())],
    }
    # Named by what it says, so that the same bill has the same name.
    name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(made, sort_keys=True))
    return {"bomFormat": made.pop("bomFormat"), "specVersion": made.pop("specVersion"), "serialNumber": f"urn:uuid:{name}", **made}


def main():
    parser = argparse.ArgumentParser(description="Writes the bill of materials of a shipped program.")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("--target", required=True)
    parser.add_argument("--version")
    parser.add_argument("--file")
    asked = parser.parse_args()
    json.dump(bill(asked.program, asked.target, asked.version, asked.file), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
