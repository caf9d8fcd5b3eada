"""Train a segmentor by a config, and evaluate it after every epoch."""

from __future__ import annotations

import argparse
import shlex

from . import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument('config', help='config file, or name of a ready config')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work folder, or from load_from if the '
        'config names one',
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    common.add_common_arguments(parser)


check = common.check_config


def run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Train."""
    from ..apis import run_options, runs
    from ..apis.launchers import prepare_launcher
    from ..engine.facts import describe_scores

    cfg = common.load_config(parser, args)
    common.require(parser, args, cfg, 'model', 'train')
    if args.resume:
        cfg.resume = True
    if cfg.get('load_from'):
        cfg.load_from = common.find_checkpoint(parser, 'load_from', cfg.load_from)
    if args.amp:
        with common.refuse(parser, '--amp'):
            run_options.enable_amp(cfg)
    with common.refuse(parser):
        run_options.require_device_for_amp(cfg)
    with common.refuse(parser, '--launcher'):
        prepare_launcher(cfg, trains=True)
    done = runs.train(cfg, args.verbose)
    if not done.is_main:
        return
    words = ['predict'] if cfg.model.type == 'PiCIE' else ['test']
    words += [args.config, done.checkpoint or 'CHECKPOINT', *['FOLDER'] * (words == ['predict'])]
    common.print_facts(
        {
            'Scores': describe_scores(done.metrics),
            'Checkpoint': done.checkpoint,
            'Full log': done.log,
            'Next': shlex.join(['picie', *words]),
        }
    )
