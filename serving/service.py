"""The BentoML service: loads once what :mod:`serving.api` answers with."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import bentoml

from features.programme import load_programme
from serving.answers import open_answers
from serving.api import build_api
from serving.server import BUNDLE_VARIABLE, PROGRAMME_VARIABLE

app = build_api()


@bentoml.service(name="winback", workers=1)
@bentoml.asgi_app(app, path="/")
class Winback:
    """Scores and decisions for the CRM; what it serves is named by environment variables, see :mod:`serving.server`."""

    def __init__(self) -> None:
        programme = load_programme(os.environ[PROGRAMME_VARIABLE])
        bundle_folder = os.environ.get(BUNDLE_VARIABLE)
        app.state.answers = open_answers(programme, Path(bundle_folder) if bundle_folder else None)
        gc.collect()
        gc.freeze()
