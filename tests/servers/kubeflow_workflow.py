"""The Argo workflow of a run on the fake Kubeflow Pipelines, as the API server lists its nodes.

Seen on a real KFP 2.17.0 with Argo 4.0.5, unless another source is given:

- With the default manifests, `templateDefaults.retryStrategy` wraps every node `x` as `x` (the retries) -> `x(0)`.
- The tasks of a run are the nodes, in the order of their ids, with times in whole seconds; none names its parent or
  its own id (toModelTasks in backend/src/apiserver/server/api_converter.go).
- Children are node ids, WORKFLOW-NUMBER; pods are named WORKFLOW-TEMPLATE-NUMBER (RetrievePodName in
  backend/src/common/util/workflow.go). Only a machine with retries has the template `retry-system-container-impl`.
- A node that has not ended ends in the year 1. A pod whose image cannot be pulled, or that no node has room for, stays
  PENDING (kubeflow/pipelines issues 10964 and 12973).
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import kfp_server_api as api

NEVER = datetime(1, 1, 1, tzinfo=UTC)  # Go's zero time


@dataclass
class Node:
    """A node of the workflow, with the retries around it.

    Attributes:
        path: Unique name, made of the display names from the entry on.
        template: Template of its pod; "" if it is a group of nodes.
        layers: The tasks that list it: [x], or [x, x(0)]; the last one has the children.
        id: The id of its last layer.
    """

    path: str
    template: str
    layers: list[api.V2beta1PipelineTaskDetail]
    id: str

    @property
    def name(self) -> str:
        """The display name, without the number of an attempt."""
        return str(self.layers[0].display_name)


@dataclass
class Workflow:
    """A workflow with a clock of its own.

    Attributes:
        run: The run that lists its nodes.
        retry_layers: True for the default manifests' retries around each node.
        name: The workflow's name.
        now: The time.
    """

    run: api.V2beta1Run
    retry_layers: bool
    name: str = ""
    now: datetime = NEVER
    _tasks: dict[str, api.V2beta1PipelineTaskDetail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = f"petalflow-{self.run.run_id[:5]}"
        self.now = (self.run.created_at - timedelta(hours=1)).replace(microsecond=0)

    def begin(self, name: str, parent: Node | None, template: str = "", *, retries: bool = False) -> Node:
        """Starts a node; one with retries has their layer whatever the manifests say."""
        names = [name, f"{name}(0)"] if self.retry_layers or retries else [name]
        path = f"{parent.path}.{name}" if parent else name
        node = Node(path, template, [], "")
        for number, layer in enumerate(names):
            self._add(node, layer, f"{path}.{number}", above=node.layers[-1] if node.layers else _last(parent))
        return node

    def end(self, node: Node, state: str, seconds: float = 10) -> None:
        """Ends a node; the clock goes on."""
        self.now += timedelta(seconds=seconds)
        for task in node.layers:
            task.state, task.end_time = state, self.now

    def retry(self, node: Node, seconds: float = 10) -> None:
        """Ends the latest attempt of a node as failed, and starts the next."""
        self.now += timedelta(seconds=seconds)
        last = node.layers.pop()
        last.state, last.end_time = "FAILED", self.now
        number = int(last.display_name.partition("(")[2].rstrip(")")) + 1
        node.path = f"{node.path}({number})"
        self._add(node, f"{node.name}({number})", node.path, above=node.layers[-1])

    def driver(self, name: str, parent: Node) -> Node:
        """Runs a driver."""
        node = self.begin(f"{name}-driver", parent, "system-container-driver")
        self.end(node, "SUCCEEDED", seconds=2)
        return node

    def group(self, name: str, parent: Node) -> Node:
        """Runs a group's driver and starts the group."""
        self.driver(name, parent)
        return self.begin(name, parent)

    def step(self, name: str, parent: Node, *, retries: bool = False) -> tuple[Node, Node]:
        """Starts a step, and its executor."""
        step = self.begin(name, parent)
        template = f"{'retry-' if retries else ''}system-container-impl"
        return step, self.begin("executor", step, template, retries=retries)

    def skip(self, name: str, parent: Node) -> None:
        """Lists a group whose condition is not met."""
        self.driver(name, parent)
        self.end(self.begin(name, parent), "SKIPPED", seconds=0)

    def pod(self, node: Node) -> str:
        """Returns the name of a node's pod."""
        return f"{self.name}-{node.template}-{node.id.rpartition('-')[2]}"

    def close(self, state: str, but: Sequence[api.V2beta1PipelineTaskDetail] = ()) -> None:
        """Ends every task that has not ended, but for some."""
        for task in self._tasks.values():
            if task.end_time == NEVER and not any(task is other for other in but):
                task.state, task.end_time = state, self.now

    def _add(self, node: Node, display_name: str, path: str, above: api.V2beta1PipelineTaskDetail | None) -> None:
        node.id = f"{self.name}-{zlib.crc32(path.encode())}"
        task = api.V2beta1PipelineTaskDetail(
            display_name=display_name, state="RUNNING", start_time=self.now, end_time=NEVER, child_tasks=[]
        )
        if above is not None:
            above.child_tasks.append(api.PipelineTaskDetailChildTask(pod_name=node.id))
        node.layers.append(task)
        self._tasks[node.id] = task
        self.run.run_details.task_details = [self._tasks[each] for each in sorted(self._tasks)]


def _last(node: Node | None) -> api.V2beta1PipelineTaskDetail | None:
    return node.layers[-1] if node else None
