"""Load the DAG of this folder with Airflow's own loader; run by `make check-airflow` where Airflow is installed."""

from __future__ import annotations

import sys
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(str(Path(__file__).with_name("airflow_winback.py")), load_op_links=False)
for file, problem in bag.import_errors.items():
    print(f"{file}: {problem}")
for name, dag in bag.dags.items():
    print(f"{name}: {' -> '.join(task.task_id for task in dag.topological_sort())}")
sys.exit(bool(bag.import_errors) or not bag.dags)
