# The service and the weekly jobs, without what only training needs.
FROM python:3.11.14-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 winback

WORKDIR /opt/winback
COPY pyproject.toml constraints.txt README.md ./
COPY features features
COPY serving serving
COPY training training
RUN pip install --no-cache-dir --compile --constraint constraints.txt ".[postgres]"

USER winback
WORKDIR /srv/programme
ENTRYPOINT ["winback"]
