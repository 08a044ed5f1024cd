"""Generates the messages of the contract in src/fetchd/.

Usage: generate.py [DESTINATION]

Needs grpcio-tools 1.62: code of later versions runs only with a protobuf that is at least as new,
and code of this one with all from 4.25 on.
"""

import pathlib
import re
import sys

import grpc_tools
from grpc_tools import protoc

FILES = ("fetchd/v1/fetchd.proto", "fetchd/internal/status.proto")


def main(destination: pathlib.Path) -> None:
    here = pathlib.Path(__file__).parent
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    folders = [here / "../../proto", here / "../proto", well_known]
    arguments = ["protoc", *(f"-I{folder}" for folder in folders)]
    arguments += [f"--python_out={destination}", f"--pyi_out={destination}", *FILES]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")
    for name in FILES:
        stub = destination / name.replace(".proto", "_pb2.pyi")
        text = re.sub(r"\b_Mapping\b(?=\])", "_Mapping[str, _Any]", stub.read_text())
        text = text.replace("import ClassVar as", "import Any as _Any, ClassVar as")
        stub.write_text(text)
        (stub.parent / "__init__.py").touch()


if __name__ == "__main__":
    main(pathlib.Path(*sys.argv[1:]) if sys.argv[1:] else pathlib.Path(__file__).parent / "src")
