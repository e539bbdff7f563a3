"""lmcore: the small, clean PyTorch library behind the course.

A chapter derives an idea in a few lines, checks it against the version here, and
imports it from then on. The modules stand on floors (CONTRIBUTING.md has the table);
a file imports only from floors below its own. Import what you need by name:

    from lmcore.activations import gelu
    from lmcore.autograd import Tensor

Importing ``lmcore`` itself prints nothing, reads no environment variable and downloads
nothing.
"""

__version__ = "0.1.0"
