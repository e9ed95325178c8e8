"""What SQL and jobs of the embedded BigQuery reach: the objects of the lake, and no other file."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from taxi_assets.local.cloud_storage import objects_folder
from taxi_assets.stores.google.cloud import GoogleCloud

pytestmark = pytest.mark.servers

READS = [
    "SELECT content FROM read_text('{file}.csv')",
    "SELECT * FROM read_blob('{file}.csv')",
    "SELECT * FROM read_csv('{file}.csv')",
    "SELECT * FROM read_csv_auto('{file}.csv')",
    "SELECT * FROM read_json_objects('{file}.csv', format='unstructured')",
    "SELECT * FROM sniff_csv('{file}.csv')",
    "SELECT * FROM read_parquet('{file}.parquet')",
    "SELECT * FROM parquet_metadata('{file}.parquet')",
    "SELECT * FROM parquet_kv_metadata('{file}.parquet')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{file}.csv'",
    "SELECT * FROM `{file}.csv`",
    "SELECT * FROM ST_Read('{file}.csv')",
    "SELECT * FROM ST_Read('/vsizip/{file}.csv')",
    "SELECT * FROM shapefile_meta('{folder}/*')",
    "SELECT * FROM read_text('taxi-files://objects/../../../{file}.csv')",
    "SELECT * FROM read_text('taxi-files://uploads/../../../../../{file}.csv')",
    "WITH a AS (SELECT content FROM read_text('{file}.csv')) SELECT * FROM a",
    "SELECT (SELECT content FROM read_text('{file}.csv')) AS c",
    "BEGIN SELECT content FROM read_text('{file}.csv'); END",
    "DECLARE found STRING; SET found = (SELECT content FROM read_text('{file}.csv')); SELECT found",
    "EXECUTE IMMEDIATE \"SELECT content FROM read_text('{file}.csv')\"",
    "CREATE OR REPLACE TABLE {dataset}.l AS SELECT content FROM read_text('{file}.csv'); SELECT * FROM {dataset}.l",
    "CREATE OR REPLACE VIEW {dataset}.v AS SELECT content FROM read_text('{file}.csv'); SELECT * FROM {dataset}.v",
    "CREATE OR REPLACE FUNCTION {dataset}.f() AS ((SELECT content FROM read_text('{file}.csv'))); SELECT {dataset}.f()",
    "CREATE OR REPLACE EXTERNAL TABLE {dataset}.ext OPTIONS (format='CSV', uris=['file://{file}.csv']);"
    "SELECT * FROM {dataset}.ext",
    "LOAD DATA INTO {dataset}.into FROM FILES (format='CSV', uris=['file://{file}.csv']); SELECT * FROM {dataset}.into",
    "COPY t FROM '{file}.csv'",
    "IMPORT DATABASE '{folder}'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET lock_configuration = false",
    "PRAGMA enable_external_access = true",
    "INSTALL httpfs",
    "LOAD '{file}.duckdb_extension'",
]
WRITES = [
    "COPY (SELECT 1) TO '{folder}/written'",
    "COPY (SELECT 1) TO '{objects}/taxi-lake/written'",
    "COPY (SELECT 1) TO 'taxi-files://objects/taxi-lake/written'",
    "COPY (SELECT 1) TO 'taxi-files://objects/taxi-lake/written' (FORMAT PARQUET)",
    "COPY (SELECT ST_Point(1, 2)) TO '{folder}/written' (FORMAT GDAL, DRIVER 'GeoJSON')",
    "EXECUTE IMMEDIATE \"COPY (SELECT 1) TO '{folder}/written'\"",
    "BEGIN COPY (SELECT 1) TO '{folder}/written'; END",
    "EXPORT DATABASE '{folder}/written'",
    "EXPORT DATABASE 'taxi-files://objects/written'",
    "EXPORT DATA OPTIONS (uri='file://{folder}/written*', format='CSV') AS SELECT 1 AS a",
    "EXPORT DATA OPTIONS (uri='gs://taxi-lake/written*', format='CSV') AS SELECT 1 AS a",
    "ATTACH '{folder}/written' AS a",
    "ATTACH 'taxi-files://objects/written' AS a",
    "PRAGMA profile_output = '{folder}/written'",
    "PRAGMA log_query_path = '{folder}/written'",
]
SECRET = "a text of the owner"


@pytest.fixture
def place(cloud: GoogleCloud, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "own.csv").write_text(f"a\n{SECRET}\n")
    pd.DataFrame({"a": [SECRET]}).to_parquet(tmp_path / "own.parquet")
    cloud.bigquery().create_dataset(str(cloud.dataset), exists_ok=True)
    return {
        "file": str(tmp_path / "own"),
        "folder": str(tmp_path),
        "objects": str(objects_folder(Path(cloud.home))),
        "dataset": str(cloud.dataset),
    }


def answered(cloud: GoogleCloud, sql: str) -> str:
    """What BigQuery answers, errors included."""
    try:
        rows = cloud.bigquery().query(sql, job_retry=None).result(retry=None, job_retry=None)
        return str([tuple(row.values()) for row in rows])
    except GoogleAPICallError as error:
        return f"refused: {error}"


def test_sql_reads_no_other_file(cloud: GoogleCloud, place: dict[str, str]) -> None:
    answers = {sql: answered(cloud, sql.format(**place)) for sql in READS}
    assert {sql: text for sql, text in answers.items() if SECRET in text} == {}
    assert {sql: text for sql, text in answers.items() if not text.startswith("refused")} == {}


def test_sql_writes_no_file(cloud: GoogleCloud, place: dict[str, str]) -> None:
    answers = {sql: answered(cloud, sql.format(**place)) for sql in WRITES}
    written = [*Path(place["folder"]).glob("written*"), *Path(place["objects"]).rglob("written*")]
    assert written == [], answers
    assert {sql: text for sql, text in answers.items() if not text.startswith("refused")} == {}


@pytest.mark.parametrize("kind", ["CSV", "PARQUET", "NEWLINE_DELIMITED_JSON", "AVRO", "ORC"])
def test_a_load_job_reads_no_other_file(cloud: GoogleCloud, place: dict[str, str], kind: str) -> None:
    client = cloud.bigquery()
    schema = [bigquery.SchemaField("a", "STRING")]
    path = Path(f"{place['file']}.{'parquet' if kind == 'PARQUET' else 'csv'}")
    outside = Path("..", *[".."] * 20, *path.parts[1:])
    for uri in (path.as_uri(), str(path), f"gs://{outside}", f"gs://taxi-lake/{outside}", f"gs:///{path}"):
        job = bigquery.LoadJobConfig(source_format=kind, schema=schema)
        with pytest.raises((GoogleAPICallError, ValueError)):
            client.load_table_from_uri(uri, f"{place['dataset']}.t", job_config=job).result(retry=None)
    assert SECRET not in answered(cloud, f"SELECT * FROM {place['dataset']}.t")


def test_an_extract_job_writes_no_file(cloud: GoogleCloud, place: dict[str, str]) -> None:
    client = cloud.bigquery()
    table = client.create_table(f"{client.project}.{place['dataset']}.e", exists_ok=True)
    for uri in (Path(place["folder"], "written").as_uri(), "gs://taxi-lake/written", "gs://../../written"):
        with pytest.raises(GoogleAPICallError):
            client.extract_table(table, uri).result(retry=None)
    assert [*Path(place["folder"]).glob("written*"), *Path(place["objects"]).rglob("written*")] == []


def test_objects_and_uploads_are_loaded_in_every_format(cloud: GoogleCloud) -> None:
    client, bucket = cloud.bigquery(), cloud.storage().bucket(cloud.bucket)
    client.create_dataset(str(cloud.dataset), exists_ok=True)
    frame, parquet = pd.DataFrame({"a": ["x", "y"]}), io.BytesIO()
    frame.to_parquet(parquet)
    contents: dict[str, bytes] = {
        "CSV": b"a\nx\ny\n",
        "NEWLINE_DELIMITED_JSON": b'{"a": "x"}\n{"a": "y"}\n',
        "PARQUET": parquet.getvalue(),
    }
    schema = [bigquery.SchemaField("a", "STRING")]
    for kind, content in contents.items():
        job = bigquery.LoadJobConfig(source_format=kind, schema=schema)
        table = f"{cloud.dataset}.{kind.lower()}"
        bucket.blob(f"in/{kind}/1 ü,'x.{kind}").upload_from_string(content)
        client.load_table_from_uri(f"gs://{cloud.bucket}/in/{kind}/*", table, job_config=job).result()
        client.load_table_from_file(io.BytesIO(content), table, job_config=job).result()
        assert client.get_table(f"{client.project}.{table}").num_rows == 4
