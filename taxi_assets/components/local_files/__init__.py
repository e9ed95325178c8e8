"""Files of people: each CSV or Parquet file put into the watched folder becomes a table in BigQuery, by itself.

    file in TAXI_FILES_FOLDER ──> local_files/table_file ──> local_files/bigquery_table
                             └──> local_files/quarantine     (a file that is no table)

A partition a file, made by a sensor. Which of the two branches runs, the file decides.
"""
