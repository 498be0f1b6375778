"""Unpack the server and its libraries from the wheel milvus: `python unpack.py FOLDER`."""

import importlib.util
import lzma
import shutil
import sys
from pathlib import Path

spec = importlib.util.find_spec("milvus")
if spec is None or spec.origin is None:
    sys.exit("the wheel milvus is not installed")
into = Path(sys.argv[1])
into.mkdir()
for source in (Path(spec.origin).parent / "data" / "bin").glob("*.lzma"):
    target = into / source.stem
    with lzma.open(source) as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, 2**20)
    target.chmod(0o755)
