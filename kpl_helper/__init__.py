"""Client inside algorithms: paths, parameters, metrics, progress, results, saving.

Needs nothing but the standard library (and PyYAML for a local ``parameter.yml``). Outside the platform
every call is harmless.
"""

from kpl_helper import deploy, io, metric, progress, result
from kpl_helper._sender import flush
from kpl_helper.base import done, get_config, ready, show_log_lines
from kpl_helper.errors import KplHelperError
from kpl_helper.io import get_input_path, get_output_path
from kpl_helper.parameter import get_parameter, write_parameter
from kpl_helper.progress import send_progress
from kpl_helper.save import save_algorithm, save_dataset, save_model
from kpl_helper.stop import kill

__all__ = [
    "KplHelperError",
    "deploy",
    "done",
    "flush",
    "get_input_path",
    "get_output_path",
    "get_parameter",
    "io",
    "kill",
    "metric",
    "progress",
    "ready",
    "result",
    "save_algorithm",
    "save_dataset",
    "save_model",
    "send_progress",
    "write_parameter",
]

if get_config().inner:
    show_log_lines()
