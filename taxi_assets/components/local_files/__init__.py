"""The watched folder: each CSV or Parquet file in it becomes a table in BigQuery.

    file in TAXI_FILES_FOLDER ──> local_files/table_file ──> local_files/bigquery_table
                             └──> local_files/quarantine     (a file that is no table)

A sensor adds a partition for each file. The content of the file decides which of the two branches runs.
"""
