"""The nightly job in Airflow: check the tables, then run; what waiting repairs is tried again, the rest is not.

Put this file into the folder of DAGs. The worker needs `oasis-alloc`, the folder of the job, and the key in RADIO_KEY.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

JOB = "/job/job.toml"
FINAL = {"infeasible", "not proven", "check failed", "gate failed"}  # trying again changes nothing


def publish(run: str) -> str:
    """Run the job; a failure that a person has to look into is not tried again."""
    import oasis_alloc as oa

    result = oa.run_job(JOB, run=run)
    if result.status in FINAL:
        raise AirflowFailException(str(result))
    if result.exit_code:
        raise RuntimeError(str(result))
    return str(result)


with DAG(
    "oasis_alloc_radio",
    schedule="0 3 * * *",
    start_date=datetime(2026, 11, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 6, "retry_delay": timedelta(minutes=10)},
) as dag:
    check = BashOperator(task_id="check", bash_command=f"oasis-alloc check {JOB}")
    run = PythonOperator(task_id="run", python_callable=publish, op_kwargs={"run": "{{ ds }}"})
    check >> run
