# One image for every service: nodes and dealer differ only in the folder that is mounted and the command.
FROM python:3.11-slim

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY protocols protocols
COPY mpc mpc
COPY parties parties
RUN pip install --no-cache-dir . && rm -rf /build

# Any user may run the image (the mounted folder's owner does), so compiled kernels go where all can write.
ENV NUMBA_CACHE_DIR=/tmp/numba PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --create-home beaver
USER beaver
WORKDIR /consortium
ENTRYPOINT ["beaver"]
