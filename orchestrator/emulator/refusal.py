"""The service's word for no."""

from __future__ import annotations


class RefusalError(Exception):
    """A request that is answered with `result: false`.

    Attributes:
        code: The code in `errors`, as the API page lists them.
        message: The text in `errors`.
        status: The HTTP status; most refusals come with 200.
    """

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def no_such_task() -> RefusalError:
    """Return the answer to a token or id that nobody knows."""
    return RefusalError(1, "There is no task yet.")


def no_such_model() -> RefusalError:
    """Return the answer to an owner or model that does not exist."""
    return RefusalError(1, "slug-owner-project-not-exist")


def no_such_endpoint() -> RefusalError:
    """Return the answer to an unknown path."""
    return RefusalError(0, "Error parsing url.", 404)


def not_authorised() -> RefusalError:
    """Return the answer to a wrong key or signature."""
    return RefusalError(0, "Project authorization is not valid.", 401)
