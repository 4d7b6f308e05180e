"""Configuration of the demo model's run: phantoms, crops, whole canvases, Mammo-FActOR."""

from pydantic import Field

from model_store.manifest import Frozen, Recipe
from training.config import CropConfig, ModelConfig, RunConfig, StageConfig
from training.data.phantom.rules import PhantomRules
from training.factor import FactorConfig
from training.losses import IMAGE_IMAGE, TEXT_TEXT
from training.models.cut import STAGES


class PhantomSeries(Frozen):
    """Which phantoms a run sees. Series are disjoint by construction: a seed names a series."""

    train_seed: int = 1
    validation_seed: int = 2
    test_seed: int = 3
    train_studies: int = Field(ge=1)
    validation_studies: int = Field(ge=1)
    test_studies: int = Field(ge=1)
    contrast: float = Field(default=1.0, gt=0, description="factor on every lesion's attenuation")

    def rules(self) -> PhantomRules:
        """What the series are drawn by."""
        return PhantomRules(contrast=self.contrast)


class WholeConfig(StageConfig):
    """Second stage: whole canvases, `batch` breasts of two views a step, above the `cut`."""

    cut: int = Field(default=STAGES, ge=0, le=STAGES)
    captions: int = Field(
        default=6, ge=4, description="a view and step; one each on mass, calcification, density"
    )
    density: float = Field(default=1.0, gt=0, description="weight of density's sentences")
    image_image: float = Field(default=IMAGE_IMAGE, ge=0)
    text_text: float = Field(default=TEXT_TEXT, ge=0)


class DemoConfig(RunConfig):
    """A whole run."""

    name: str = "mammo-demo"
    version: str = "2"
    seed: int = 10
    threads: int = Field(default=0, ge=0, description="torch's threads; 0 = all usable cores")
    recipe: Recipe = Recipe(height_px=1520, width_px=912)
    phantoms: PhantomSeries
    model: ModelConfig = Field(default_factory=ModelConfig)
    crops: CropConfig
    whole: WholeConfig
    factor: FactorConfig
    localise_studies: int = Field(
        default=100, ge=1, description="of the test series, for boxes: four images each"
    )
