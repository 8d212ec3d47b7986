"""The bus: carries rows of the contexts' logs to those who subscribe. Here embedded, over the log tables themselves."""

from torg.kit.bus.consumer import BusConsumer, Consumer
from torg.kit.bus.failures import FailedMessage, Failures

__all__ = ["BusConsumer", "Consumer", "FailedMessage", "Failures"]
