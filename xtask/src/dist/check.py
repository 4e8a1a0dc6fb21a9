"""Reads a release of the filter in the first folder, made of the sources in the second.

Ends with an error where a digest, the image or the bill of materials is wrong.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

release, sources = map(pathlib.Path, sys.argv[1:])


def must(holds, claim):
    if not holds:
        sys.exit(f"this does not hold of {release}: {claim}")


def digest(data):
    return hashlib.sha256(data).hexdigest()


# Every file is in the list, once, with its digest.
listed = dict(reversed(line.split("  ", 1)) for line in (release / "SHA256SUMS").read_text().splitlines())
files = {
    str(path.relative_to(release)): path.read_bytes()
    for path in release.rglob("*")
    if path.is_file() and path.name != "SHA256SUMS"
}
must(listed == {name: digest(data) for name, data in files.items()}, "SHA256SUMS lists every file")
module = files["auth_edge_filter.wasm"]
must(module.startswith(b"\0asm\1\0\0\0"), "the module is Wasm")

# The archive holds the folder.
layout = {name.removeprefix("oci/"): data for name, data in files.items() if name.startswith("oci/")}
with tarfile.open(release / "oci.tar", "r:") as archive:
    members = archive.getmembers()
    must(all(member.mtime == member.uid == member.gid == 0 for member in members), "oci.tar has no times")
    packed = {member.name: archive.extractfile(member).read() for member in members if member.isfile()}
must(packed == layout, "oci.tar holds what oci/ holds")

# Each descriptor leads to what it describes, and nothing else is there.
read = {"oci-layout", "index.json"}


def follow(descriptor, media_type):
    must(descriptor["mediaType"] == media_type, f"{descriptor} is of {media_type}")
    name = "blobs/" + descriptor["digest"].replace(":", "/")
    data = layout[name]
    must(f"sha256:{digest(data)}" == descriptor["digest"], f"{name} has its digest")
    must(len(data) == descriptor["size"], f"{name} has its size")
    read.add(name)
    return data


must(json.loads(layout["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}, "the layout is of version 1.0.0")
(entry,) = json.loads(layout["index.json"])["manifests"]
manifest = json.loads(follow(entry, "application/vnd.oci.image.manifest.v1+json"))
config = json.loads(follow(manifest["config"], "application/vnd.oci.image.config.v1+json"))
(layer,) = manifest["layers"]
unpacked = gzip.decompress(follow(layer, "application/vnd.oci.image.layer.v1.tar+gzip"))
must(config["rootfs"]["diff_ids"] == [f"sha256:{digest(unpacked)}"], "the configuration names the layer")
must(read == set(layout), "every file of the layout is reached")
with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as archive:
    (member,) = archive.getmembers()
    must(member.isfile() and member.name == "plugin.wasm", "the layer has plugin.wasm alone")
    must(archive.extractfile(member).read() == module, "plugin.wasm is the module")

# The bill is of this module, and complete in itself.
bill = json.loads(files["sbom.cdx.json"])
must((bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5"), "the bill is CycloneDX 1.5")
main = bill["metadata"]["component"]
must(main["hashes"] == [{"alg": "SHA-256", "content": digest(module)}], "the bill is of the module")
must(main["version"] == entry["annotations"]["org.opencontainers.image.ref.name"], "the tag is the version")
references = [component["bom-ref"] for component in [main, *bill["components"]]]
must(len(set(references)) == len(references), "every component is listed once")
must(all(component["licenses"][0]["expression"] for component in bill["components"]), "all have a licence")
used = {name for entry in bill["dependencies"] for name in entry["dependsOn"]}
must(used | {main["bom-ref"]} == set(references), "every component is used by another")
must([entry["ref"] for entry in bill["dependencies"]] == references[:-1] + ["rust-std"], "all have a place in the graph")

# Nobody learns where it was built.
for place in [pathlib.Path.home(), sources]:
    for name, data in files.items():
        must(f"{place}/".encode() not in data, f"{name} does not name {place}")

print(f"read back: {len(files)} files, {len(references)} components, image {entry['digest']}")
