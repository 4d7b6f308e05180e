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


def licence_of(family: str, given: Licence | None) -> Licence:
    """The family's terms, or those given; a name alone does not open what the family closes.

    `serving` of a given licence is the importer's word that it may be served.
    """
    known = LICENCES[family]
    if given is None:
        return known
    return given.model_copy(update={"serving": known.serving or given.serving})


def serving_note(family: str, licence: Licence) -> dict[str, str]:
    """For `made_by`: by whose word a version may be served whose family's terms forbid it."""
    opened = licence.serving and not LICENCES[family].serving
    return {"serving_allowed_by": "--may-be-served"} if opened else {}
