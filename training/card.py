"""MODEL_CARD.md, generated from the manifest at export: no figure is typed by hand."""

from model_store.manifest import Manifest, Metric
from training.evaluate.calibration import SENSITIVITY

HEADER = """# {name}/{version}

**{description}**

Trained on synthetic images only ({train_studies} phantom studies, {train_images} images,
seed {train_seed}). It has never learned from a patient's image. Its scores on real mammograms mean
nothing; it exists so that the service can be tried, tested and measured without any download.
Not for diagnosis, not for screening, not for research on patients.
"""

BODY = """## What it is

- Family: {family}. Image tower EfficientNet-Lite0 (ImageNet start), text tower the first
  {text_layers} layers of all-MiniLM-L6-v2, frozen, int8 weights, with a small learned head; both
  end in {embedding_size} dimensions.
- Input: canvas {height} x {width}, 8 bit, by recipe `{recipe}`. Normalisation is inside the graph.
- Findings: {findings}. Any other English sentence is accepted and
  embedded; described to it were these findings, their shapes, margins, kinds and places, the side
  and the density of the breast, in sentences made from templates, and nothing else.
- Heat maps (Mammo-FActOR, `factor.onnx`): heads {heads}.
- Scores are calibrated (Platt) on {validation_studies} phantom studies of another seed; thresholds
  find {sensitivity:.0%} of the positives there. On anything but these phantoms they
  are not calibrated.

## Held-out figures

Zero-shot, through the exported ONNX graphs and the service's own scoring, on phantoms of a seed
that was neither trained nor calibrated on. Intervals: 95 %, bootstrap over patients.

| what | value | 95 % interval | n | data |
|---|---|---|---|---|
{metrics}

{perfect}Mammo-FActOR and Grad-CAM were asked about the same images, those with the finding.
Lesions are drawn clear enough to be learned in two hours on a small machine (contrast factor
{contrast}): the figures say that the machinery works, nothing about a patient.

## How it was made

`{command}` on {cores} CPU cores: {wall_min} minutes on the clock (a machine shared with other
work), {cpu_min} core-minutes of processor time. Largest difference of an embedding between torch
and ONNX: {parity:.1e}. Versions: torch {torch}, ONNX Runtime {onnxruntime}.

## Licence

{licence}: {terms}
"""

PERFECT = """An interval of no width means that not one pair of cases was in the wrong order:
these phantoms are too easy to tell how good the model is. It does not mean that it is perfect.

"""


def model_card(manifest: Manifest) -> str:
    """The card of a version; KeyError where `made_by` lacks something the card says."""
    made = manifest.made_by
    heads = manifest.factor.heads if manifest.factor else ()
    values = {
        **made,
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "family": manifest.family,
        "embedding_size": manifest.embedding_size,
        "height": manifest.recipe.height_px,
        "width": manifest.recipe.width_px,
        "recipe": manifest.recipe.name,
        "findings": ", ".join(f"`{finding.name}`" for finding in manifest.findings),
        "heads": ", ".join(f"`{head}`" for head in heads) or "none",
        "sensitivity": SENSITIVITY,
        "metrics": "\n".join(map(_row, manifest.metrics)),
        "perfect": PERFECT if any(metric.low == 1 for metric in manifest.metrics) else "",
        "wall_min": f"{float(made['wall_s']) / 60:.0f}",
        "cpu_min": f"{float(made['cpu_s']) / 60:.0f}",
        "parity": float(made["parity"]),
        "licence": manifest.licence.name,
        "terms": manifest.licence.terms,
    }
    return f"{HEADER}\n{BODY}".format(**values)


def _row(metric: Metric) -> str:
    return (
        f"| {metric.name} | {metric.value:.3f} | {metric.interval} | {metric.n} | {metric.data} |"
    )
