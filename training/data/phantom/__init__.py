"""Phantoms. Names of v1 pass through here only until the pipeline has changed over."""

from training.data.phantom_v1 import BITS_STORED as BITS_STORED
from training.data.phantom_v1 import COLUMNS as COLUMNS
from training.data.phantom_v1 import GENERATOR as GENERATOR
from training.data.phantom_v1 import MAXIMUM as MAXIMUM
from training.data.phantom_v1 import ROWS as ROWS
from training.data.phantom_v1 import SPACING_MM as SPACING_MM
from training.data.phantom_v1 import STANDARD as STANDARD
from training.data.phantom_v1 import Breast as Breast
from training.data.phantom_v1 import Density as Density
from training.data.phantom_v1 import PhantomRules as PhantomRules
from training.data.phantom_v1 import PhantomStudy as PhantomStudy
from training.data.phantom_v1 import PhantomView as PhantomView
from training.data.phantom_v1 import Place as Place
from training.data.phantom_v1 import Projection as Projection
from training.data.phantom_v1 import Side as Side
from training.data.phantom_v1 import make_study as make_study
from training.data.phantom_v1 import study_generator as study_generator
