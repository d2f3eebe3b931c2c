"""From a job file to the tasks that it stands for."""

from orchestrator.sweep.axes import Cell
from orchestrator.sweep.job import Job
from orchestrator.sweep.jobfile import JobFile
from orchestrator.sweep.keys import job_schema
from orchestrator.sweep.problems import JobFileError, Problem, did_you_mean
from orchestrator.sweep.reading import load
from orchestrator.sweep.schema import Parameter, Schema
from orchestrator.sweep.settings import Callback, Limits, Outputs, Retry
from orchestrator.sweep.starter import init_text
from orchestrator.sweep.uploads import LocalFile, Uploads, with_uploads

__all__ = [
    "Callback",
    "Cell",
    "Job",
    "JobFile",
    "JobFileError",
    "Limits",
    "LocalFile",
    "Outputs",
    "Parameter",
    "Problem",
    "Retry",
    "Schema",
    "Uploads",
    "did_you_mean",
    "init_text",
    "job_schema",
    "load",
    "with_uploads",
]
