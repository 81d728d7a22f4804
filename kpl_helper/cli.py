"""Command line ``khelper``: save things, stop the task, write its parameters to a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from kpl_helper.errors import KplHelperError
from kpl_helper.parameter import write_parameter
from kpl_helper.save import save_algorithm, save_dataset, save_model
from kpl_helper.stop import kill


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="khelper", description=__doc__)
    commands = parser.add_subparsers(title="commands")
    parser.set_defaults(run=lambda _: parser.print_help())

    stop = commands.add_parser("kill", help="stop this task or notebook server")
    stop.set_defaults(run=lambda _: kill())

    write = commands.add_parser("write", help="write the parameters to a file")
    write.add_argument("file", help="path of the .yml file")
    write.set_defaults(run=lambda _: write_parameter())

    save = commands.add_parser("save", help="save a dataset, model or algorithm")
    save.set_defaults(run=lambda _: save.print_help())
    kinds = save.add_subparsers(title="what")
    dataset = _add_kind(kinds.add_parser, "dataset", "path of the dataset", _save_dataset)
    dataset.add_argument(
        "--as_serialized", "-s", action="store_true", help="it is in KPL format already"
    )
    _add_kind(kinds.add_parser, "model", "path of the model, a file or folder", _save_model)
    _add_kind(kinds.add_parser, "algorithm", "path of the code folder", _save_algorithm)
    return parser


def _add_kind(
    add: Callable[..., argparse.ArgumentParser],
    kind: str,
    path_help: str,
    run: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    parser = add(kind)
    parser.add_argument("--name", "-n", required=True, help=f"name of the {kind}")
    parser.add_argument("--desc", "-d", default="", help="description")
    parser.add_argument("--path", "-p", required=True, help=path_help)
    parser.add_argument(
        "--raise_errors", action="store_true", help="exit with status 1 when it could not be saved"
    )
    parser.set_defaults(run=run)
    return parser


def _save_dataset(args: argparse.Namespace) -> None:
    save_dataset(
        args.path, args.name, args.desc, args.as_serialized, raise_errors=args.raise_errors
    )


def _save_model(args: argparse.Namespace) -> None:
    save_model(args.path, args.name, args.desc, raise_errors=args.raise_errors)


def _save_algorithm(args: argparse.Namespace) -> None:
    save_algorithm(args.path, args.name, args.desc, raise_errors=args.raise_errors)


def main() -> None:
    """Run the command line.

    As with the original, a ``save`` that fails says so and ends with status 0, since commands of old
    tasks rely on it; ``--raise_errors`` and ``kill`` end with status 1.
    """
    args = _parser().parse_args()
    try:
        args.run(args)
    except (KplHelperError, OSError) as error:
        sys.stderr.write(f"khelper: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
