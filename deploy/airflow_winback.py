"""An Airflow DAG of the weekly run; copy it into the DAGs folder and adapt the paths."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

WINBACK = "cd /srv/winback && .venv/bin/winback"
DEFAULTS = {"retries": 2, "retry_delay": timedelta(minutes=10)}
"""A run that was killed, or met a full disk (exit code 5), goes on where it was; bad input (2) and refusals (4) end
alike each time."""

with DAG(
    "winback_weekly",
    schedule="0 4 * * 1",
    start_date=datetime(2026, 1, 5),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    doc_md=__doc__,
) as dag:
    effects = BashOperator(task_id="effects", bash_command=f"{WINBACK} effects --programme programme.toml")
    score = BashOperator(
        task_id="score",
        bash_command=f"{WINBACK} score --programme programme.toml --out out/decisions --json out/score.json",
    )
    effects >> score
