"""The records of a zipped file of torch.save: stored as they are, each with its checksum.

torch maps them from disk without a look at the checksums. The older form, no zip, has none.
"""

import zipfile
from pathlib import Path

from training.checkpoint.errors import Damaged, Unreadable

CHUNK_BYTES = 1 << 20
ENCRYPTED = 1


def check_records(path: Path) -> None:
    """Read every byte once. Raises Damaged, Unreadable for what torch.save would not write."""
    try:
        with zipfile.ZipFile(path) as file:
            records = file.infolist()
            _check_form(path, records)
            wrong = [record.filename for record in records if not _is_whole(file, record)]
    except Unreadable:
        raise
    except Exception as error:
        raise Damaged(path, f"its list of records is broken ({type(error).__name__})") from error
    if wrong:
        raise Damaged(
            path, f"{len(wrong)} of {len(records)} records differ from their checksum: {wrong[0]}"
        )


def _check_form(path: Path, records: list[zipfile.ZipInfo]) -> None:
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & ENCRYPTED:
            raise Unreadable(
                path, f"a zip whose record {record.filename} is compressed or encrypted"
            )
    told = sum(record.file_size for record in records)
    if told > path.stat().st_size:
        raise Unreadable(path, f"records of {told} bytes in a file of {path.stat().st_size}")


def _is_whole(file: zipfile.ZipFile, record: zipfile.ZipInfo) -> bool:
    try:
        with file.open(record) as stream:
            while stream.read(CHUNK_BYTES):
                pass
    except (zipfile.BadZipFile, EOFError):
        return False
    return True
