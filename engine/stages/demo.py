"""The built-in data sets as files, with a job for each, to start one's own work from."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from engine.cities import builtin
from engine.runtime.files import output_folder, write_text, write_with

_JOB = """# {description}
job: {name}_from_file
panel: {{source: {name}.parquet}}
{blocks}"""
_BLOCKS = {
    "euro": """title: "The euro and business cycles"
years: [1952, 2019]
outcome: {synchronization: gdp_growth}
treatment: {adoption: euro_year, rule: both}
""",
    "china_demo": """title: "SYNTHETIC data: pilots and synchronization"
years: [2010, 2019]
index:
  development:
    entropy: [gdp_per_capita, gdp_growth, investment_per_capita, services_share, fdi_per_capita,
              industrial_output, retail_sales_per_capita, savings_per_capita, average_wage]
outcome: {synchronization: development}
pairs:
  exclude: both_treated
  gravity: {mass: [population, gdp_real, land_area, admin_rank]}
treatment: {adoption: pilot_year, rule: exactly_one}
""",
}


def write_demo_data(folder: Path) -> list[Path]:
    """Write ``<name>.parquet``, ``<name>.csv`` and ``<name>.yaml`` of every built-in data set."""
    output_folder(folder, where="demo-data DIR")
    paths: list[Path] = []
    for name in builtin.NAMES:
        frame = builtin.load(name)
        blocks = _BLOCKS[name]
        panel = "panel: {source: %s.parquet}" % name  # noqa: UP031
        text = _JOB.format(description=builtin.describe(name), name=name, blocks=blocks)
        if name == "euro":
            with_growth = f"panel: {{source: {name}.parquet, columns: {{gdp_growth: growth(gdp_real)}}}}"
            text = text.replace(panel, with_growth)
        paths += [
            write_with(folder / f"{name}.parquet", partial(frame.to_parquet, index=False)),
            write_with(folder / f"{name}.csv", partial(frame.to_csv, index=False)),
            write_text(folder / f"{name}.yaml", text),
        ]
    return paths
