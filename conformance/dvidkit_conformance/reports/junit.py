"""The report as JUnit XML: a test case per clause, the clause's id as a property."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from dvidkit_conformance.outcome import ClauseResult, EngineReport, Failure, Report

_FAILED = ("fail", "vacuous")


def render(report: Report) -> str:
    """XML text."""
    suites = Xml.Element("testsuites", name="dvidkit conformance")
    for engine in report.engines:
        _suite(suites, engine, f"{engine.engine}", engine.clauses)
        for name, results in engine.datatypes.items():
            _suite(suites, engine, f"{engine.engine}.{name}", results)
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(suites: Xml.Element, engine: EngineReport, name: str, results: list[ClauseResult]) -> None:
    statuses = [result.status for result in results]
    suite = Xml.SubElement(
        suites,
        "testsuite",
        name=f"dvidkit.{name}",
        tests=str(len(results)),
        failures=str(sum(status in _FAILED for status in statuses)),
        errors=str(statuses.count("error")),
        skipped=str(sum(status in ("skip", "untested", "deviation") for status in statuses)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        _case(suite, name, result)


def _case(suite: Xml.Element, name: str, result: ClauseResult) -> None:
    data = result.to_json()
    case = Xml.SubElement(
        suite,
        "testcase",
        classname=f"dvidkit.{name}",
        name=f"{result.id} {data['title']}",
        time=f"{result.seconds:.3f}",
    )
    properties = Xml.SubElement(case, "properties")
    for key in ("id", "level", "layer", "lane", "status"):
        Xml.SubElement(properties, "property", name=key, value=_legal(str(data[key])))
    if result.status == "pass":
        return
    tag = "error" if result.status == "error" else "failure" if result.status in _FAILED else "skipped"
    node = Xml.SubElement(case, tag, message=_legal(f"{result.status}: {result.reason}"))
    node.text = _legal("\n\n".join(map(_told, result.failures)))


def _told(failure: Failure) -> str:
    lines = [f"expected: {failure.expected}", f"got: {failure.got}", failure.note, *failure.steps, failure.replay]
    return "\n".join(line for line in lines if line)


def _legal(text: str) -> str:
    """Without what XML 1.0 cannot carry."""
    return "".join(c if c in "\t\n" or 32 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE else "?" for c in text)
