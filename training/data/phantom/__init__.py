"""Procedural mammograms: four views of two breasts from one anatomy, findings, boxes, reports."""
