"""Certificates for tests, in the files that services read."""

import os
from datetime import datetime
from pathlib import Path

import trustme

HOST = "127.0.0.1"


def authority() -> trustme.CA:
    """Somebody who signs certificates."""
    return trustme.CA()


def write(
    folder: Path,
    signer: trustme.CA,
    *names: str,
    changed: int = 1,
    end: datetime | None = None,
) -> Path:
    """A certificate for this machine and `names`, its key, and who signed it. `changed`: the time
    of the files; they are taken up again when it differs. `end`: of the certificate."""
    folder.mkdir(exist_ok=True)
    issued = signer.issue_cert(HOST, *names, not_after=end)
    issued.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "tls.crt").write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    signer.cert_pem.write_to_path(folder / "ca.crt")
    for file in folder.iterdir():
        os.utime(file, ns=(changed, changed))
    return folder
