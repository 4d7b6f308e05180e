"""Terms of published weights, as their authors state them. Source: facts of each publication."""

from model_store.manifest import Licence

LICENCES = {
    "mammo-clip": Licence(
        name="CC-BY-NC-SA-4.0",
        terms="Mammo-CLIP (Ghosh et al. 2024). The repository's licence is CC BY-NC-SA 4.0, and it "
        "says of commercial use that model deployment is strictly prohibited; the model card on "
        "the hub says CC BY 4.0. Where they conflict, ask the authors. Not for diagnosis.",
        serving=False,
    ),
    "mammo-fm": Licence(
        name="Mammo-FM weights licence",
        terms="Mammo-FM. Its LICENSE_WEIGHTS (3.3, 4.1 to 4.3) prohibits hosting or serving the "
        "weights via an API, clinical use, redistribution and distillation. Not for diagnosis.",
        serving=False,
    ),
    "mammoserve": Licence(name="private", terms="Not to be passed on. Not for diagnosis."),
}
"""By family. `serving` False: loaded only on the operator's word."""
