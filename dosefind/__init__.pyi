from ._check import InputError as InputError
from .config import load_protocol as load_protocol
from .designs import BLRM as BLRM
from .designs import BOIN as BOIN
from .designs import CRM as CRM
from .designs import ThreePlusThree as ThreePlusThree
from .designs import design_from_rule as design_from_rule
from .models import BivariateNormal as BivariateNormal
from .models import Logistic as Logistic
from .models import Logistic2 as Logistic2
from .models import Power as Power
from .models.elicitation import indifference_intervals as indifference_intervals
from .models.elicitation import skeleton as skeleton
from .operating.lattice import Lattice as Lattice
from .operating.lattice import lattice as lattice
from .operating.simulation import simulate as simulate
from .protocol import Protocol as Protocol
from .tasks import Analysis as Analysis
from .tasks import NextStep as NextStep
from .tasks import analyze as analyze
from .tasks import compare as compare
from .tasks import decide as decide
from .tasks import decision_table as decision_table
from .tasks import paths as paths
from .trial import States as States

__version__: str
