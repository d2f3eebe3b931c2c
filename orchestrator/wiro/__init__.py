"""The service: its endpoints, its replies as data, its catalogue and prices, and all that can go wrong."""

from __future__ import annotations

from orchestrator.wiro.auth import Credentials, fresh_nonce
from orchestrator.wiro.catalogue import Price, Prices, computing_seconds, parse_model, price, seed_model
from orchestrator.wiro.client import Client
from orchestrator.wiro.errors import (
    Acceptance,
    BalanceUsedUp,
    ConcurrencyLimit,
    CredentialsRefused,
    InvalidRequest,
    NoSuchEndpoint,
    NoSuchModel,
    NoSuchTask,
    NotInState,
    NotSent,
    RateLimited,
    Refused,
    ReplyLost,
    ServerFault,
    WiroError,
)
from orchestrator.wiro.socket import Event, Socket
from orchestrator.wiro.transport import CALLBACK, Timeouts
from orchestrator.wiro.wire import Accepted, Phase, RemoteOutput, RemoteTask, TaskPage, Upload, id_number

__all__ = [
    "CALLBACK",
    "Acceptance",
    "Accepted",
    "BalanceUsedUp",
    "Client",
    "ConcurrencyLimit",
    "Credentials",
    "CredentialsRefused",
    "Event",
    "InvalidRequest",
    "NoSuchEndpoint",
    "NoSuchModel",
    "NoSuchTask",
    "NotInState",
    "NotSent",
    "Phase",
    "Price",
    "Prices",
    "RateLimited",
    "Refused",
    "RemoteOutput",
    "RemoteTask",
    "ReplyLost",
    "ServerFault",
    "Socket",
    "TaskPage",
    "Timeouts",
    "Upload",
    "WiroError",
    "computing_seconds",
    "fresh_nonce",
    "id_number",
    "parse_model",
    "price",
    "seed_model",
]
