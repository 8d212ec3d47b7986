"""The bus: carries rows of the contexts' logs to those who subscribe: embedded over the log tables themselves, or through a broker."""

from torg.kit.bus.consumer import BusConsumer, Consumer
from torg.kit.bus.failures import FailedMessage, Failures
from torg.kit.bus.log_feed import LogFeed

__all__ = ["BusConsumer", "Consumer", "FailedMessage", "Failures", "LogFeed"]
