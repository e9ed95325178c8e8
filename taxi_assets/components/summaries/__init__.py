"""The summaries behind the pipelines: what a month of trips adds up to, in BigQuery, one with each tool.

| asset | by | with |
|---|---|---|
| `{pipeline}/trips_per_day` | day of pickup | pandas |
| `{pipeline}/trips_per_zone_hour` | zone and hour of pickup | Arrow |
| `{pipeline}/revenue_per_zone` | zone of pickup, with its name | SQL inside BigQuery |
| `taxi_zones` | | the source's zone lookup |
"""
