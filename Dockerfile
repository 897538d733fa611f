# One image for every service: nodes and dealer differ only in the folder that is mounted and the command.
FROM python:3.11-slim

# Loops are compiled here, once. Any user may run the image (the mounted folder's owner does), and a processor other than
# this one compiles again, so the cache stays open to all.
ENV NUMBA_CACHE_DIR=/var/cache/numba PYTHONUNBUFFERED=1

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY protocols protocols
COPY mpc mpc
COPY parties parties
RUN pip install --no-cache-dir . && rm -rf /build/*

WORKDIR /consortium
RUN python -c "import importlib, pkgutil, protocols; \
      [importlib.import_module(module.name) for module in pkgutil.walk_packages(protocols.__path__, 'protocols.')]" \
  && chmod -R a+rwX "$NUMBA_CACHE_DIR"
RUN useradd --uid 1000 --create-home beaver
USER beaver
ENTRYPOINT ["beaver"]
