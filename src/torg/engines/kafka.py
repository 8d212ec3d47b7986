"""Apache Kafka itself, from its own jars by Maven: one node in KRaft mode that is broker and controller at once. It needs Java 17 and Maven."""

from __future__ import annotations

import hashlib
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import fetch, run
from torg.engines.port import EngineRefused, Place, Tell
from torg.kit.ports import free_port
from torg.kit.values import randomness

RELEASE = "4.4.0"
JARS = Path(__file__).with_name("kafka.lock")
"""Name and SHA-256 of each jar, as sha256sum writes and checks them."""
CANNOT = "Kafka can't be installed"
ADVERTISED = "advertised-port"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>torg</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{RELEASE}</version>
      <exclusions><!-- of the command line alone, and its release {RELEASE} was not published -->
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
  </dependencies>
</project>
"""
LOGGING = """Configuration:
  Appenders: {Console: {name: out, target: SYSTEM_OUT, PatternLayout: {pattern: "%d{ISO8601} %p %m (%c{1})%n"}}}
  Loggers: {Root: {level: warn, AppenderRef: {ref: out}}, Logger: [{name: kafka.server.KafkaRaftServer, level: info}]}
"""
POLICY: Final = {
    "auto.create.topics.enable": "false",  # `torg topics apply` states them
    "group.initial.rebalance.delay.ms": "100",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "10000",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    **dict.fromkeys(("offsets.topic.replication.factor", "transaction.state.log.replication.factor", "share.coordinator.state.topic.replication.factor"), "1"),
    **dict.fromkeys(("transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"), "1"),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "broker.session.timeout.ms": "3000",  # after a crash it waits so long until its own earlier session is over
    "broker.heartbeat.interval.ms": "1000",
}


class Kafka:
    """The controller listens one port above the broker where that is free, also on this machine only."""

    name = "kafka"
    port = 29092
    version = f"Apache Kafka {RELEASE}"
    image = f"apache/kafka:{RELEASE}"

    def install(self, home: Path, tell: Tell) -> None:
        log, jars = home / "install.log", home / RELEASE
        missing = [package for tool, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")) if not shutil.which(tool)]
        if missing:
            fetch.debian_packages(missing, CANNOT, log, tell)
        _java()
        if jars.exists():
            return
        tell(f"Apache Kafka {RELEASE} is being installed")
        fresh = home / f"{RELEASE}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        (home / "pom.xml").write_text(POM)
        copy = ["org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
        fetch.run(["mvn", "--batch-mode", "--no-transfer-progress", "-U", "-f", home / "pom.xml", *copy], CANNOT, log)
        _check(fresh)
        fresh.rename(jars)

    def command(self, place: Place) -> list[str]:
        """Formats the log's folder when it is new."""
        jars = place.home / RELEASE
        if not jars.exists():
            raise EngineRefused("Kafka isn't installed: `torg engines up kafka` does it.")
        place.data.mkdir(parents=True, exist_ok=True)
        properties, logging = place.data / "server.properties", place.data / "log4j2.yaml"
        properties.write_text("".join(f"{name}={value}\n" for name, value in (_where(place) | POLICY).items()))
        logging.write_text(LOGGING)
        java = ["java", "-cp", f"{jars}/*", f"-Dlog4j2.configurationFile={logging}", "-XX:+UseSerialGC"]
        if not (place.data / "log" / "meta.properties").exists():
            words = ["format", "--standalone", "--cluster-id", randomness(11).hex(), "--config", str(properties)]
            fetch.run([*java, "-Xmx128m", "kafka.tools.StorageTool", *words], "Kafka's data folder can't be made", place.data / "format.log")
        return [*java, "-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", "kafka.Kafka", str(properties)]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        """Asks for the nodes, which it tells once it is registered with the controller."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        asking = AdminClient({"bootstrap.servers": f"127.0.0.1:{place.port}", "log_level": 0})
        try:
            return "" if asking.list_topics(timeout=2).brokers else "it knows of no node yet"
        except KafkaException as error:
            return str(error.args[0])

    def prepare(self, place: Place) -> None:
        """A new one needs nothing: `torg topics apply` makes the topics."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_BUS": f"kafka://127.0.0.1:{place.port}"}


def _where(place: Place) -> dict[str, str]:
    controller = _free(place.port + 1)
    own = f"CONTROLLER://127.0.0.1:{controller}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://127.0.0.1:{place.port},{own}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{_advertised(place)},{own}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(place.data / "log"),
    }


def advertise(place: Place, port: int) -> None:
    """Has the broker tell its clients another port than its own, where something stands between them; from its next start on."""
    run.make(place.data)
    (place.data / ADVERTISED).write_text(str(port))


def _advertised(place: Place) -> int:
    kept = place.data / ADVERTISED
    return int(kept.read_text()) if kept.exists() else place.port


def _free(port: int) -> int:
    """This port, or another one where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return free_port()
        return port


def _java() -> None:
    """Raises EngineRefused when it is older than what the broker needs."""
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    found = re.search(r'version "(\d+)', told)
    if not found or int(found[1]) < 17:
        raise EngineRefused(f"{CANNOT}: it needs Java 17 or newer, and `java -version` says {told.strip()!r}.")


def _check(folder: Path) -> None:
    """Raises EngineRefused when a jar is not the one that this was tried with."""
    known = {name: digest for digest, name in (line.split() for line in JARS.read_text().splitlines())}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.iterdir()}
    if strange := sorted(name for name in known.keys() | found.keys() if known.get(name) != found.get(name)):
        raise EngineRefused(f"{CANNOT}: these jars are not the ones named in {JARS.name}, or are missing: {', '.join(strange)}")
