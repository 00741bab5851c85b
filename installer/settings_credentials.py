"""`k0rdent.credentials`: accounts at clouds, whose secrets stand in the file or, better, in files of their own."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationInfo, model_validator

from installer.settings_base import Section, camel, read_secret, remark
from installer.settings_types import ObjectName, WebAddress, is_placeholder


class Credential(Section):
    """An account under the name of its k0rdent object; SECRET and SECRETFile are two ways to say the same."""

    name: ObjectName = Field(description="Name of the Credential object, and the first part of what belongs to it.")

    def secret(self, field: str) -> str | None:
        """The text of a secret, from the settings or from its file; None if neither is said.

        Raises:
            OSError: the file cannot be read.
        """
        said: SecretStr | None = getattr(self, field)
        if said is not None:
            return said.get_secret_value()
        file: Path | None = getattr(self, f"{field}_file")
        return None if file is None else read_secret(file)

    def _ways(self, field: str) -> int:
        """In how many of the two ways a secret is said."""
        return sum(getattr(self, each) is not None for each in (field, f"{field}_file"))

    def _require(self, *fields: str) -> None:
        for field in fields:
            if self._ways(field) != 1:
                raise ValueError(f"needs either {camel(field)} or {camel(f'{field}_file')}")


class AwsCredential(Credential):
    """An access key."""

    region: str | None = None
    access_key_id: SecretStr | None = None
    access_key_id_file: Path | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None
    session_token: SecretStr | None = None
    session_token_file: Path | None = None

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        self._require("access_key_id", "secret_access_key")
        if self._ways("session_token") > 1:
            raise ValueError("needs either sessionToken or sessionTokenFile, not both")
        return self


class AzureCredential(Credential):
    """A service principal."""

    subscription_id: str | None = None
    client_id: str
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    tenant_id: str

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        self._require("client_secret")
        return self


class OpenStackCredential(Credential):
    """An application credential (the better way), or a user of a project."""

    auth_url: WebAddress
    region: str
    application_credential_id: str | None = None
    application_credential_secret: SecretStr | None = None
    application_credential_secret_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    project_name: str | None = None
    domain_name: str | None = None

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        if (self.application_credential_id is None) == (self.username is None):
            raise ValueError("needs either applicationCredentialID or username")
        if self.username is None:
            self._require("application_credential_secret")
        else:
            self._require("password")
            if self.project_name is None or self.domain_name is None:
                raise ValueError("a username needs projectName and domainName")
        return self


class Credentials(Section):
    """Accounts; every name once, over all clouds, since all of them are objects of one namespace."""

    aws: tuple[AwsCredential, ...] = ()
    azure: tuple[AzureCredential, ...] = ()
    openstack: tuple[OpenStackCredential, ...] = ()

    @property
    def all(self) -> tuple[Credential, ...]:
        return (*self.aws, *self.azure, *self.openstack)

    @model_validator(mode="after")
    def _check_names(self, info: ValidationInfo) -> Self:
        names = [each.name for each in self.all]
        twice = sorted({each for each in names if names.count(each) > 1})
        if twice:
            raise ValueError(
                f"two credentials are called {' and '.join(map(repr, twice))}: names are unique over all clouds"
            )
        for cloud in ("aws", "azure", "openstack"):
            for place, credential in enumerate(getattr(self, cloud)):
                self._remark_placeholders(info, f"k0rdent.credentials.{cloud}[{place}]", credential)
        return self

    @staticmethod
    def _remark_placeholders(info: ValidationInfo, path: str, credential: Credential) -> None:
        for field in type(credential).model_fields:
            value = getattr(credential, field)
            if isinstance(value, SecretStr | str) and is_placeholder(value):
                file = f"{camel(field)}File"
                fix = f"name a file with {file}" if f"{field}_file" in type(credential).model_fields else "write it out"
                remark(info, f"{path}.{camel(field)}", "is a placeholder, and nothing replaces it", fix)
