"""Features of spans that are looked at twice: kept on disk after the first look."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from features.build import build_features
from features.programme import Programme
from features.schemas import Tables
from serving.decisions import Candidates, candidates_among
from serving.parts import Span, written


def span_candidates(
    span: Span, tables: Tables, as_of: datetime, programme: Programme, folder: Path | None, *, keep: bool = False
) -> Candidates:
    """Tell who of a span is eligible to be scored, with the features kept of it, or built now.

    Parameters
    ----------
    span
        Whom to look at.
    tables, as_of, programme
        As in :func:`serving.decisions.candidates`.
    folder
        Of the features kept for this ``as_of``; None means that none are.
    keep
        Keep them, for the next look.
    """
    own = span.of(tables)
    if folder is None:
        return candidates_among(build_features(own, as_of, programme), own, as_of, programme)
    file = folder / f"{span.number:06}.parquet"
    features = pd.read_parquet(file) if file.exists() else build_features(own, as_of, programme)
    if keep:
        with written(file):
            features.to_parquet(file)
    return candidates_among(features, own, as_of, programme)
