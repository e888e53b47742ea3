"""The KFP component of predict: classifies every image in a folder with the live release."""

from kfp import dsl

from petalflow.container_images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
def predict(registry: str, name: str, images: str, predict_config: str, predictions: dsl.Output[dsl.Artifact]) -> None:
    """Writes a JSON line per image; not part of the retraining pipeline, but runs wherever that runs."""
    import json

    from components.predict.settings import PredictSettings
    from petalflow import storage
    from petalflow.run.execution import running

    with running("predict"):
        from components.predict.files import find_images
        from components.predict.predict import predict as work
        from petalflow.registry import find_release

        release = find_release(storage.join(registry, name))
        files = find_images([images.rstrip("/") + "/"])
        results = work(release, files, PredictSettings.from_json(predict_config))
        lines = [json.dumps(result.to_json(), ensure_ascii=False) + "\n" for result in results]
        storage.write_bytes(predictions.path, "".join(lines).encode())
    predictions.metadata.update({"images": len(lines), "version": release.version})
