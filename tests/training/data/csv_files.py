"""Synthetic tables of the real shapes, written as pandas writes them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

VINDR_IMAGE = {
    "study_id": "s1",
    "series_id": "x1",
    "image_id": "i1",
    "laterality": "L",
    "view_position": "CC",
    "height": 3518,
    "width": 2800,
    "breast_birads": "BI-RADS 1",
    "breast_density": "DENSITY C",
}
VINDR_FINDING = {
    "finding_categories": "['No Finding']",
    "finding_birads": "",
    "xmin": "",
    "ymin": "",
    "xmax": "",
    "ymax": "",
}
RSNA = {
    "site_id": 2,
    "patient_id": 10006,
    "image_id": 462822612,
    "laterality": "L",
    "view": "CC",
    "age": 61.0,
    "cancer": 0,
    "biopsy": 0,
    "invasive": 0,
    "BIRADS": "",
    "implant": 0,
    "density": "",
    "machine_id": 29,
    "difficult_negative_case": "False",
}
EMBED_CLINICAL = {
    "": 0,
    "empi_anon": 41617447,
    "acc_anon": "8099128854014801.0",
    "study_date_anon": "2013-01-05",
    "desc": "MG Screen Bilat w/Tomo/CAD Stnd Protocol",
    "side": "L",
    "asses": "N",
    "tissueden": 3.0,
    "numfind": 1,
    "total_L_find": 1.0,
    "total_R_find": 0.0,
    "massshape": "",
    "massmargin": "",
    "massdens": "",
    "calcfind": "",
    "calcdistri": "",
    "calcnumber": 0,
    "path_severity": "",
    "age_at_study": 61.5,
    "ETHNICITY_DESC": "",
    "ETHNIC_GROUP_DESC": "",
}
EMBED_METADATA = {
    "": 0,
    "empi_anon": 41617447,
    "acc_anon": 8099128854014801,
    "anon_dicom_path": "/mnt/NAS2/mammo/anon_dicom/cohort_1/41617447/1.2.3/1.2.3.4.dcm",
    "FinalImageType": "2D",
    "ImageLateralityFinal": "L",
    "ViewPosition": "CC",
    "spot_mag": "",
    "num_roi": 0,
    "ROI_coords": "()",
    "StudyDescription": "MG Screen Bilat w/Tomo/CAD Stnd Protocol",
    "SeriesDescription": "L CC",
}


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Rows under the keys of the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
