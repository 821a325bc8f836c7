"""``guard:`` of the configuration: how much may happen without asking."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, PrivateAttr
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from mapping.surprise import TIMES, Limits, Sort

_Count = Annotated[int | None, Field(ge=0)]


class Guard(BaseModel):
    """How much of a route may happen within a day without asking anybody; ``off``: anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    create: _Count = Field(default=None, description="So many new ones never wait. Default: 50.")
    change: _Count = Field(
        default=None, description="So many changes never wait. Default: 50, less where little is known."
    )
    cancel: _Count = Field(
        default=None, description="So many cancellations never wait. Default: 10, less where little is known."
    )
    notify: _Count = Field(
        default=None,
        description="So many writes that may notify a guest never wait. Default: 50, less where little is known.",
    )
    times: Annotated[float | None, Field(ge=0)] = Field(
        default=None,
        description="So many times the busiest day of the last four weeks does not wait either. Default: 3.",
    )

    _off: bool = PrivateAttr(default=False)

    @classmethod
    def parse(cls, value: Any) -> Any:
        """``off``, or the keys."""
        if value != "off":
            return value
        made = cls()
        made._off = True
        return made

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The keys, or ``off``."""
        keys = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [keys, {"const": "off"}], "description": keys.pop("description", "")}

    @property
    def off(self) -> bool:
        """Whether nothing ever waits."""
        return self._off

    def over(self, general: "Guard") -> Limits:
        """What these keys say; whatever they do not, the general ones say."""
        said = {**general.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)}
        off = self.off or (general.off and not self.model_fields_set)
        return Limits({sort: said[sort] for sort in Sort if sort in said}, said.get("times", TIMES), not off)
