"""The dead man's switch: a sign of life to a place outside, which raises the alarm when it stops.

Belongs here: the one request. Does not: whether all is well (sources.publication_is_good). What no
alert can tell is that nothing runs any more, or that the network is gone.
"""

import logging

import httpx
from pydantic import SecretStr

TIMEOUT_S = 5

logger = logging.getLogger(__name__)


def ping(url: SecretStr) -> bool:
    """Ask for the URL once, and say whether it answered well. A failure is logged, never raised;
    the log names the error alone, for the URL is a secret.
    """
    try:
        httpx.get(url.get_secret_value(), timeout=TIMEOUT_S).raise_for_status()
    except httpx.HTTPStatusError as error:
        logger.warning("FUNDING_PING_URL answered with status %d", error.response.status_code)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        logger.warning("FUNDING_PING_URL did not answer: %s", type(error).__name__)
    else:
        return True
    return False
